// OHIF on casewise: its one source of data is the DICOMweb of the server that it came from.

// What the first page of OHIF has in scripts of its own.
console.time("scriptToView");
window.PUBLIC_URL = "/ohif/";
function browserImportFunction(module) {
  return import(module);
}

window.config = {
  name: "casewise",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  customizationService: { "ohif.tours": { $set: [] } },
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
