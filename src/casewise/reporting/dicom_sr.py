"""Findings as a DICOM structured report (TID 1500, Imaging Measurement Report)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from casewise import __version__
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.result_object import EQUIPMENT, building, save, uids_of
from casewise.formats.dicom.result_source import ResultSource
from casewise.formats.dicom.segment_descriptions import PRIVATE_SCHEME, printable
from casewise.image import Array
from casewise.json_safe import dumps
from casewise.reporting import dicom_codes as codes
from casewise.reporting.dicom_about import About
from casewise.reporting.dicom_groups import evaluation, groups
from casewise.reporting.dicom_places import mask_of, outlines_of, space_of

SUFFIX = ".sr.dcm"
_IMPRESSION: codes.Code = ("121073", "DCM", "Impression")
_COMMENT: codes.Code = ("121106", "DCM", "Comment")
_EVALUATIONS: codes.Code = ("C0034375", "UMLS", "Qualitative Evaluations")


def write_report(
    path: Path,
    findings: Sequence[Finding],
    masks: Mapping[str, Array],
    source: ResultSource,
    *,
    about: About,
    series_number: int = 901,
) -> Path:
    """Write findings as a Comprehensive SR on the pictures, or a Comprehensive 3D SR (:func:`dicom_places.space_of` says which).

    masks : by ``Finding.mask_name``, on the image's grid. A finding with a place is a measurement group with a closed polyline; one
    without, and what was looked for and not found, are qualitative evaluations. The report is unverified. The same findings of the
    same images get the same UIDs.

    Raises CasewiseError for what cannot be built or written.
    """
    source.check_not_own(path)
    stated = about.statements(findings)
    with building("a structured report"):
        replaced = [_header(earlier) for earlier in about.predecessors]
        identity = _identity(stated, masks, source, about, replaced)
        built = _built(stated, masks, source, about, replaced, series_number, identity)
    return save(built, path, SUFFIX)


def _built(
    findings: Sequence[Finding],
    masks: Mapping[str, Array],
    source: ResultSource,
    about: About,
    replaced: list[Any],
    series_number: int,
    identity: list[str],
) -> Any:
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    placed, unplaced = [], []
    for number, finding in enumerate(findings):
        places = outlines_of(finding, mask_of(finding, masks))
        made = groups(finding, places, source, [*identity, str(number)])
        placed += made
        unplaced += [] if made else [evaluation(finding)]
    content = _content(placed, unplaced, about, source.stand_ins[0].Modality)
    kind = sr.ComprehensiveSR if space_of(source) is None else sr.Comprehensive3DSR
    built: Any = kind(
        evidence=_evidence(source),
        content=content,
        series_number=series_number,
        instance_number=1,
        is_complete=not about.failed,
        series_description="casewise report",
        previous_versions=replaced or None,
        coding_schemes=[CodingSchemeIdentificationItem(PRIVATE_SCHEME, name="casewise")],
        **uids_of(identity),
        **EQUIPMENT,
    )
    _name_classes(built, source)
    return built


def _content(placed: list[Any], unplaced: list[Any], about: About, modality: str) -> Any:
    """The document's root: who observed, the measurement groups, then evaluations and text."""
    import highdicom
    from pydicom.sr.codedict import codes as dicom

    sr, contains = highdicom.sr, highdicom.sr.RelationshipTypeValues.CONTAINS
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=_device(), name="casewise", manufacturer_name="casewise", model_name=f"casewise {__version__}"
    )
    context = sr.ObservationContext(observer_device_context=sr.ObserverContext(dicom.DCM.Device, device))
    # highdicom asks for a group; the template does not, where there are evaluations.
    stand_in = sr.MeasurementsAndQualitativeEvaluations(sr.TrackingIdentifier(_device(), "none"))
    report = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=codes.concept(codes.of_procedure(modality)),
        imaging_measurements=placed or [stand_in],
    )
    if not placed:
        del report[0].ContentSequence[-1]
    evaluations = sr.ContainerContentItem(codes.concept(_EVALUATIONS), relationship_type=contains)
    text = [(_IMPRESSION, about.headline), *((_COMMENT, sentence) for sentence in about.sentences)]
    items = [sr.TextContentItem(codes.concept(name), printable(said), contains) for name, said in text if said]
    evaluations.ContentSequence = sr.ContentSequence([*items, *unplaced])
    report[0].ContentSequence.append(evaluations)
    return report


def _evidence(source: ResultSource) -> list[Any]:
    """A data set for each instance of the image, with sound values of patient and study, and still of the stand-in's class."""
    instances: dict[str, Any] = {}
    for stand_in, (_, instance, _) in zip(source.stand_ins, source.references, strict=True):
        if instance not in instances:
            instances[instance] = deepcopy(stand_in)
            instances[instance].SOPInstanceUID = instance
    return list(instances.values())


def _name_classes(built: Any, source: ResultSource) -> None:
    """Set the true classes of the evidence: highdicom looks up those of the stand-ins, for it knows none of older standards."""
    classes = {instance: sop_class for sop_class, instance, _ in source.references}
    for study in built.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                item.ReferencedSOPClassUID = classes[item.ReferencedSOPInstanceUID]


def _header(path: Path) -> Any:
    try:
        return dataset_of(path, pixels=False)
    except (OSError, CasewiseError) as error:
        raise CasewiseError(f"The report that this one replaces cannot be read: {path}.") from error


def _device() -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["device", "casewise", __version__]))


def _identity(
    findings: Sequence[Finding], masks: Mapping[str, Array], source: ResultSource, about: About, replaced: Sequence[Any]
) -> list[str]:
    """Everything that the report says, and of what."""
    said = []
    for finding in findings:
        mask = mask_of(finding, masks)
        content = None if mask is None else hashlib.sha256(np.packbits(np.greater(mask, 0)).tobytes()).hexdigest()
        said.append({**finding.to_json(), "mask": content, "map": None})
    images = [[instance, frame] for _, instance, frame in source.references]
    earlier = [str(header.SOPInstanceUID) for header in replaced]
    return ["sr", dumps([images, said, about.headline, about.sentences, earlier, __version__])]
