"""The images that the shipped router is trained and measured on: which set shows which category, and under what licence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from casewise import formats
from casewise.case import Case
from casewise.formats.found import Found
from casewise.hashing import combined_key, file_key
from casewise.image import Image
from experiments import datasets


@dataclass(frozen=True)
class Source:
    """category : what its images show; ``unknown`` for what no category is. trained : whether the shipped router may learn from it.

    subject : what of a file's path (a regular expression's first group) names the patient; the file itself where nobody knows.
    """

    name: str
    category: str
    pattern: str
    licence: str
    trained: bool = True
    subject: str = r"([^/]+)$"


_MEDNIST, _PROSTATEX = "MedNIST, CC BY-SA 4.0", "ProstateX, CC BY 3.0"
_ANTILLIA = "of Antillia's collection of small sets (Apache-2.0)"
SOURCES = (
    Source("mednist", "abdomen-ct", "mednist/AbdomenCT/*.jpeg", _MEDNIST),
    Source("mednist", "chest-ct", "mednist/ChestCT/*.jpeg", _MEDNIST),
    Source("mednist", "head-ct", "mednist/HeadCT/*.jpeg", _MEDNIST),
    Source("mednist", "breast-mr", "mednist/BreastMRI/*.jpeg", _MEDNIST),
    Source("mednist", "chest-xray", "mednist/CXR/*.jpeg", _MEDNIST),
    Source("mednist", "hand-xray", "mednist/Hand/*.jpeg", _MEDNIST),
    Source("montgomery", "chest-xray", "montgomery/images/*.png", "NLM Montgomery County chest X-rays, public"),
    Source("shenzhen", "chest-xray", "shenzhen/images/*.png", "NLM Shenzhen chest X-rays, public"),
    Source("nih", "chest-xray", "nih-cxr1024/images/*", "NIH ChestX-ray14, public"),
    Source("kermany", "chest-xray", "kinds/chest-xray-paediatric/*/*.jp*g", "Kermany 2018, CC BY 4.0"),
    Source("jsrt", "chest-xray", "jsrt/images/*.png", "JSRT, research use", trained=False),
    Source("totalseg", "abdomen-ct", "totalseg-example/example_ct.nii.gz", "TotalSegmentator's example, Apache-2.0"),
    Source("iq-oth", "chest-ct", "kinds/chest-ct/iq-othnccd/*.jp*g", "IQ-OTH/NCCD, CC BY 4.0"),
    Source("hocm", "chest-ct", "kinds/chest-ct/antillia-hocm/*.jp*g", f"HOCM, Apache-2.0, {_ANTILLIA}"),
    Source("chestct", "chest-ct", "kinds/chest-ct/antillia-chestct/*.jp*g", "no licence stated", trained=False),
    Source("head-ct-hemorrhage", "head-ct", "head-ct-hemorrhage/images/*", "Head CT hemorrhage (Kitamura), CC0"),
    Source("open-ms", "brain-mr", "open-ms/*/*_regtoMNI.nii.gz", "open-ms (Ljubljana), CC BY 4.0", subject=r"/(patient\d+)/"),
    Source("pyradiomics", "brain-mr", "pyradiomics-mr/brain*_image.nrrd", "pyradiomics examples, BSD-3-Clause"),
    Source("brats", "brain-mr", "brats-cbica/*/[FT]*.nii.gz", "BraTS 2018, research use", False, r"/(Brats[^/]+)/"),
    Source("wmh", "brain-mr", "wmh/*/t2flair*.nii.gz", "WMH Shanghai, no licence stated", False, r"wmh/(\d+)/"),
    Source("habib", "brain-mr", "kinds/brain-mr/*/*.jp*g", "no licence stated", trained=False),
    Source("pyradiomics", "breast-mr", "pyradiomics-mr/breast*_image.nrrd", "pyradiomics examples, BSD-3-Clause"),
    Source("breastdm", "breast-mr", "kinds/breast-mr/*/*.jp*g", "BreastDM, licence not known", trained=False),
    Source("acdc", "cardiac-mr", "acdc/*.h5", "ACDC, CC BY-NC-SA 4.0 or research use", subject=r"(patient\d+)"),
    Source("hvsmr", "cardiac-mr", "kinds/cardiac-mr/*/*.jp*g", f"HVSMR-2.0, CC BY 4.0, {_ANTILLIA}"),
    Source("prostatex-t2", "prostate-mr", "prostatex/*/*/*t2tse*", _PROSTATEX, subject=r"(ProstateX-\d+)/"),
    Source("prostatex-diffusion", "prostate-mr", "prostatex/*/*/*ep2d*", _PROSTATEX, subject=r"(ProstateX-\d+)/"),
    Source("prostatex-pd", "prostate-mr", "prostatex/*/*/*PD*", _PROSTATEX, subject=r"(ProstateX-\d+)/"),
    Source("prostate158", "prostate-mr", "kinds/prostate-mr/*/*.jp*g", "licence not known", trained=False),
    Source("busi", "breast-ultrasound", "busi/*/*.png", "BUSI, CC BY 4.0"),
    Source("radinformatics", "hand-xray", "kinds/hand-wrist-xray/*/*.jp*g", "RSNA bone age, terms not stated", trained=False),
    Source("chase", "fundus-photograph", "structures/retina/images/chase*", "CHASE_DB1, CC BY 4.0", subject=r"Image_(\d+)"),
    Source("drive", "fundus-photograph", "structures/retina/images/drive*", "DRIVE, research use", trained=False),
    Source("gbm", "histology", "structures/nuclei-gbm/images/*", "TCGA, open access", subject=r"images/(gbm_\d+|TCGA-\w+-\w+)"),
    Source("glas", "histology", "kinds/histology-he/*/*.jp*g", "GlaS, research use", trained=False),
    Source("hippocampus", "unknown", "hippocampus/images/*.nii.gz", "Decathlon task 4, CC BY-SA 4.0", trained=False),
    Source("photographs", "unknown", "brain-tumour/*/*.jpg", "photographs of food, no licence known", trained=False),
    Source("abdomen-mr", "unknown", "kinds/abdomen-mr/*/*.jp*g", f"Zenodo 5153568, CC BY 4.0, {_ANTILLIA}"),
    Source("blood-smear", "unknown", "kinds/blood-smear/*/*.jp*g", "BCCD, MIT"),
    Source("fetal-ultrasound", "unknown", "kinds/fetal-us/*/*.jp*g", f"HC18, CC BY 4.0, {_ANTILLIA}"),
    Source("kidney-ultrasound", "unknown", "kinds/kidney-us/*/*.jp*g", f"kidney stones, CC BY-SA 4.0, {_ANTILLIA}"),
    Source("liver-ultrasound", "unknown", "kinds/liver-us/*/*.jp*g", f"liver, CC BY 4.0, {_ANTILLIA}"),
    Source("mammography", "unknown", "kinds/mammography/*/*.jp*g", f"MIAS, CC BY, {_ANTILLIA}"),
    Source("pet", "unknown", "kinds/pet-body/*/*.jp*g", f"soft-tissue sarcoma (TCIA), CC BY 3.0, {_ANTILLIA}"),
    Source("nuclei", "unknown", "structures/dsb2018/images/*", "Data Science Bowl 2018, CC0"),
    Source("wound", "unknown", "structures/wound/images/*", "Foot Ulcer Segmentation Challenge, MIT"),
    Source("dermoscopy", "unknown", "kinds/dermoscopy/*/*.jp*g", "HAM10000, CC BY-NC 4.0", trained=False),
    Source("endoscopy", "unknown", "kinds/endoscopy/*/*.jp*g", "Kvasir-SEG, research and education", trained=False),
    Source("knee-mr", "unknown", "kinds/knee-mr/*/*.jp*g", "licence not known", trained=False),
    Source("spine-mr", "unknown", "kinds/spine-mr/*/*.jp*g", "licence not known", trained=False),
    Source("retina-oct", "unknown", "kinds/oct-retina/*/*.jp*g", "no licence stated", trained=False),
    Source("electron-microscopy", "unknown", "structures/em-membrane/images/*", "ISBI 2012, research use", trained=False),
)


def cases(source: Source) -> list[Case]:
    """Every image of ``source``; its ``subject`` begins with the source's name."""
    found = []
    for path in datasets.files(source.pattern):
        relative = datasets.name_of(path)
        if "GOLD_STANDARD" in path.name:
            continue
        match = re.search(source.subject, relative)
        subject = f"{source.name}/{match[1] if match else relative}"
        found += [_case(source, subject, key, load, name) for key, load, name in _images(path)]
    return found


def _images(path: Path) -> Iterator[tuple[str, Callable[[], Image], str]]:
    """(key, loader, name) of the images at ``path``: a file, or a folder of DICOM series."""
    relative = datasets.name_of(path)
    if not path.is_dir():
        member = "image" if path.suffix == ".h5" else None
        yield file_key(path), lambda: formats.read(path, member), relative
        return
    for found in formats.scan(path):
        if isinstance(found, Found):
            key = combined_key(file_key(file) for file in found.files)
            yield key, (lambda f=found: formats.read(f.path, f.member)), f"{relative}#{found.member}"


def _case(source: Source, subject: str, key: str, load: Callable[[], Image], name: str) -> Case:
    return Case(key=key, load_image=load, category=source.category, subject=subject, site=source.name, name=name)


def parts(source: Source, of: Sequence[Case]) -> dict[str, str]:
    """Key of each case → ``training``, ``validation`` or ``test``: about 70, 10 and 20 % of a source's subjects.

    The order is that of a hash of the subject's name, so that nothing but the set decides it. Of two subjects one is tested on; one
    alone is trained on, and so not tested. A source not to be trained on is tested on as a whole.
    """
    unit = {case.key: str(case.subject) for case in of}
    order = sorted(set(unit.values()), key=lambda name: hashlib.blake2b(name.encode()).hexdigest())
    count = len(order)
    tested = 0 if count < 2 else max(1, round(0.2 * count))
    validated = 0 if count < 5 else max(1, round(0.1 * count))
    place = {name: number for number, name in enumerate(order)}
    if not source.trained:
        return {key: "test" for key in unit}
    return {
        key: "test" if place[name] < tested else "validation" if place[name] < tested + validated else "training"
        for key, name in unit.items()
    }
