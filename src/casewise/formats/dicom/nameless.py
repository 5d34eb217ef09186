"""A DICOM header without what names a person: identifiers and names replaced, private elements left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from casewise.formats.dicom.elements import text
from casewise.formats.dicom.sequence_words import description_words

# Of the group of the patient what names nobody; all else of it goes.
_OF_BODY = (
    "BreedRegistrationSequence",
    "PatientAge",
    "PatientBreedCodeSequence",
    "PatientBreedDescription",
    "PatientSex",
    "PatientSexNeutered",
    "PatientSize",
    "PatientSpeciesCodeSequence",
    "PatientSpeciesDescription",
    "PatientWeight",
    "PregnancyStatus",
)
# Of visits and orders, by which a patient is found elsewhere (from PS3.15, table E.1-1). Elements of the representation PN
# (physicians, operators, reviewers) are emptied by that. UIDs stay: a viewer finds everything by them.
_OF_VISITS = (
    "AccessionNumber",
    "AdmissionID",
    "FillerOrderNumberImagingServiceRequest",
    "ImageComments",
    "IssuerOfAccessionNumberSequence",
    "IssuerOfAdmissionIDSequence",
    "IssuerOfServiceEpisodeIDSequence",
    "OrderCallbackPhoneNumber",
    "OrderEnteredBy",
    "OrderPlacerIdentifierSequence",
    "PatientInstitutionResidence",
    "PatientState",
    "PerformedProcedureStepID",
    "PersonAddress",
    "PersonIdentificationCodeSequence",
    "PersonTelecomInformation",
    "PersonTelephoneNumbers",
    "PlacerOrderNumberImagingServiceRequest",
    "ReasonForStudy",
    "ReferencedPatientAliasSequence",
    "ReferencedPatientSequence",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "RequestAttributesSequence",
    "RequestedProcedureID",
    "RequestingService",
    "ScheduledProcedureStepID",
    "ServiceEpisodeID",
    "StudyComments",
    "StudyID",
    "VisitComments",
)
_OF_FILE = ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle")


# Free text of examinations, in which a name may stand: of these the words remain that the archive's vocabulary has.
_DESCRIPTIONS = (
    "PerformedProcedureStepDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "SeriesDescription",
    "StudyDescription",
)


def without_names(dataset: Any, pseudonym: str, descriptions: bool = False) -> None:
    """Replace, in a pydicom data set and its sequences, what names a person; PatientName and PatientID become ``pseudonym``.

    Elements that viewers expect are emptied, sequences and private elements (whose content nobody knows) are removed; UIDs stay,
    since a viewer finds everything by them, and so does what is drawn into the pixels. descriptions : whether those of series and
    studies stay as they are; else known words of them do.
    """
    _clean(dataset)
    for keyword in () if descriptions else _DESCRIPTIONS:
        if keyword in dataset:
            setattr(dataset, keyword, description_words(text(dataset, keyword))[0])
    dataset.PatientName = dataset.PatientID = pseudonym


def meta_without_names(meta: Any) -> None:
    """The same of a file's meta information: the systems that it came through, and what is private."""
    for keyword in _OF_FILE:
        if keyword in meta:
            delattr(meta, keyword)
    for tag in (0x00020100, 0x00020102, 0x00020026, 0x00020027, 0x00020028):
        if tag in meta:
            del meta[tag]


def _clean(dataset: Any) -> None:
    from pydicom.datadict import tag_for_keyword

    of_visits, of_body = ({tag_for_keyword(keyword) for keyword in keywords} for keywords in (_OF_VISITS, _OF_BODY))
    for tag in list(dataset.keys()):
        if tag.is_private:
            del dataset[tag]
            continue
        vr = _representation(dataset.get_item(tag), tag)
        identifying = int(tag) in of_visits or (tag.group == 0x0010 and int(tag) not in of_body)
        if identifying and vr == "SQ":
            del dataset[tag]
        elif identifying or vr == "PN":
            _empty(dataset, tag)
        elif vr == "SQ":
            for item in _items(dataset, tag):
                _clean(item)


def _empty(dataset: Any, tag: Any) -> None:
    from pydicom.datadict import dictionary_VR
    from pydicom.dataelem import DataElement

    dataset[tag] = DataElement(tag, dictionary_VR(tag), "")


def _items(dataset: Any, tag: Any) -> Iterator[Any]:
    """The items of a sequence; one that pydicom cannot read is removed."""
    try:
        value = dataset[tag].value
    except Exception:
        del dataset[tag]
        return
    yield from value or ()


def _representation(raw: Any, tag: Any) -> str:
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return str(raw.VR)
