// OHIF on casewise: its one source of data is the DICOMweb of the server that it came from.

// What the first page of OHIF has in scripts of its own.
console.time("scriptToView");
window.PUBLIC_URL = "/ohif/";
function browserImportFunction(module) {
  return import(module);
}

// OHIF displays a line in space (SCOORD3D) on no stack of images, since it does not know of which image it is. So the image in whose
// plane the line lies is named beside it, once OHIF has the line.
function onItsImage({ measurement }) {
  const line = measurement.coords?.[0];
  if (line?.ValueType === "SCOORD3D") queueMicrotask(() => nameImage(measurement, line));
  return measurement;
}

function nameImage(measurement, line) {
  const annotation = window.cornerstoneTools.annotation.state.getAnnotation(measurement.TrackingUniqueIdentifier);
  const image = imageOf(Array.from(line.GraphicData, Number), line.ReferencedFrameOfReferenceSequence);
  if (!annotation || !image?.imageId) return;
  annotation.metadata.referencedImageId = measurement.viewReference.referencedImageId = image.imageId;
}

// The single-frame image of a frame of reference whose plane is within half a millimetre of all points, the nearest of several.
function imageOf(points, frameOfReference) {
  let [found, least] = [null, 0.5];
  for (const set of window.services.displaySetService.getActiveDisplaySets()) {
    for (const image of set.images ?? set.instances ?? []) {
      const [place, axes] = [image.ImagePositionPatient, image.ImageOrientationPatient];
      if (image.FrameOfReferenceUID !== frameOfReference || !place || !axes || Number(image.NumberOfFrames ?? 1) > 1) continue;
      const [a, b, c, d, e, f] = Array.from(axes, Number);
      const normal = [b * f - c * e, c * d - a * f, a * e - b * d];
      let distance = 0;
      for (let n = 0; n < points.length; n += 3) {
        distance = Math.max(distance, Math.abs(normal.reduce((sum, part, axis) => sum + part * (points[n + axis] - Number(place[axis])), 0)));
      }
      if (distance < least) [found, least] = [image, distance];
    }
  }
  return found;
}

window.config = {
  name: "casewise",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  customizationService: {
    "ohif.tours": { $set: [] },
    onBeforeSRAddMeasurement: { $set: onItsImage },
  },
  showStudyList: true,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
  showErrorDetails: "production",
  defaultDataSourceName: "casewise",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "casewise",
      configuration: {
        friendlyName: "casewise",
        name: "casewise",
        qidoRoot: `${location.origin}/dicomweb`,
        wadoRoot: `${location.origin}/dicomweb`,
        wadoUriRoot: `${location.origin}/dicomweb`,
        qidoSupportsIncludeField: true,
        supportsReject: false,
        supportsStow: false,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        omitQuotationForMultipartRequest: true,
        singlepart: "bulkdata,pdf,video",
        bulkDataURI: { enabled: true },
      },
    },
  ],
  httpErrorHandler: (error) => {
    if (error.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  },
};
