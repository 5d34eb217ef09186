"""Which storage classes hold what is no image to be analysed: reports, segmentations, maps, presentation states, plans, signals."""

from __future__ import annotations

_DICOM = "1.2.840.10008.5.1.4."
_STORAGE = f"{_DICOM}1.1."
_OTHERS = tuple(
    f"{_STORAGE}{node}"
    for node in (
        "9.",  # waveforms
        "11.",  # presentation states
        "30",  # parametric maps
        "66",  # raw data, registrations, segmentations
        "67",  # real-world value mappings
        "68.",  # surfaces
        "78.",  # measurements of the eye
        "79.",
        "80.",
        "88.",  # structured reports
        "90.",
        "104.",  # documents
        "200.",  # protocols
        "201.",  # inventories
        "481.3",  # structures, plans and records of radiotherapy
        "481.4",
        "481.5",
        "481.6",
        "481.7",
        "481.8",
        "481.9",
        "481.10",
        "481.11",
        "481.12",
        "481.13",
    )
)


def is_image(sop_class: str) -> bool:
    """Whether objects of a storage class are images; those of makers' own classes are tried."""
    if sop_class.startswith(_DICOM) and not sop_class.startswith(_STORAGE):
        return False  # hanging protocols, implants, …
    return not any(sop_class == node or sop_class.startswith(f"{node.rstrip('.')}.") for node in _OTHERS)
