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
            _keep_known_words(dataset, keyword)
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
        if tag.is_private or tag.element == 0:  # the length of a group is wrong once the group is changed
            del dataset[tag]
            continue
        known = _in_dictionary(tag)
        representations = {known, str(dataset.get_item(tag).VR)}
        identifying = int(tag) in of_visits or (tag.group == 0x0010 and int(tag) not in of_body)
        if identifying or "PN" in representations:
            # No viewer expects an element that the dictionary does not know, and how it is empty nobody can say.
            if "SQ" in representations or known is None:
                del dataset[tag]
            else:
                _replace(dataset, tag, "")
        elif "SQ" in representations:
            for item in _items(dataset, tag):
                _clean(item)


def _keep_known_words(dataset: Any, keyword: str) -> None:
    from pydicom.datadict import tag_for_keyword

    try:
        words = description_words(text(dataset, keyword))[0]
    except Exception:  # whatever pydicom raises for a value that is not as its representation says
        words = ""
    _replace(dataset, tag_for_keyword(keyword), words)


def _replace(dataset: Any, tag: Any, value: str) -> None:
    """Give an element that the dictionary knows a value, whatever representation it has in the file."""
    from pydicom.datadict import dictionary_VR
    from pydicom.dataelem import DataElement

    dataset[tag] = DataElement(tag, dictionary_VR(tag), value)


def _items(dataset: Any, tag: Any) -> Iterator[Any]:
    """The items of a sequence; one that pydicom cannot read, or whose value is no sequence, is removed."""
    from pydicom.sequence import Sequence

    try:
        value = dataset[tag].value
    except Exception:
        value = None
    if isinstance(value, Sequence):
        yield from value
    else:
        del dataset[tag]


def _in_dictionary(tag: Any) -> str | None:
    """The representation that DICOM's dictionary has for a tag; None for a tag that it does not have."""
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return None
