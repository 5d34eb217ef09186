"""Licences of the shipped models' training data.

``python -m recipes.licences`` writes them into every ``model.toml`` and into LICENSE-WEIGHTS.md.
As the makers of each data set state them. No model is trained again, and no model's key changes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomli_w

from casewise.models.licences import TrainingData, research_only
from casewise.models.listing import SHIPPED

ROOT = Path(__file__).resolve().parents[1]
ACDC = TrainingData("ACDC (Bernard 2018)", "research use; later releases CC BY-NC-SA 4.0", True)
BRATS = TrainingData("BraTS 2018 (Menze 2015; Bakas 2017, 2018)", "research use", True)
BACKBONE = TrainingData("EfficientNet-Lite0 (Tan 2019), weights learnt on ImageNet's photographs", "Apache-2.0", False)
BUSI = TrainingData("BUSI breast ultrasound (Al-Dhabyani 2020)", "CC BY 4.0", False)
BCCD = TrainingData("BCCD, blood smears", "MIT", False)
CHASE = TrainingData("CHASE_DB1, retina vessels (Fraz 2012)", "CC BY 4.0", False)
DECATHLON = TrainingData("Medical Segmentation Decathlon, task 4", "CC BY-SA 4.0", False)
DSB_2018 = TrainingData("Data Science Bowl 2018, nuclei (BBBC038; Caicedo 2019)", "CC0", False)
FOOT_ULCERS = TrainingData("Foot Ulcer Segmentation Challenge (Wang 2022)", "MIT", False)
HC18 = TrainingData("HC18, fetal ultrasound (van den Heuvel 2018)", "CC BY 4.0", False)
HEAD_CT = TrainingData("Head CT hemorrhage (Kitamura 2018)", "CC0", False)
HVSMR = TrainingData("HVSMR-2.0, cardiovascular MR (Pace 2024)", "CC BY 4.0", False)
HOCM = TrainingData("Cardiac CT of obstructive cardiomyopathy, as pictures", "Apache-2.0", False)
IQ_OTH = TrainingData("IQ-OTH/NCCD, chest CT (Alyasriy 2020)", "CC BY 4.0", False)
JSRT = TrainingData("JSRT (Shiraishi 2000), masks of SCR (van Ginneken 2006)", "free for research use", True)
KERMANY = TrainingData("Paediatric chest X-rays (Kermany 2018)", "CC BY 4.0", False)
KIDNEY_MR = TrainingData("Kidneys on T2-weighted MR (Daniel 2021)", "CC BY 4.0", False)
KIDNEY_ULTRASOUND = TrainingData("Kidney stones on ultrasound, as pictures", "CC BY-SA 4.0", False)
LIVER_ULTRASOUND = TrainingData("Liver masses on ultrasound (Xu 2022)", "CC BY 4.0", False)
MEDNIST = TrainingData("MedNIST", "CC BY-SA 4.0", False)
MIAS = TrainingData("MIAS, mammograms (Suckling 2015)", "CC BY", False)
MONTGOMERY = TrainingData("NLM Montgomery County chest X-rays (Jaeger 2014)", "public", False)
NIH = TrainingData("NIH ChestX-ray14 (Wang 2017)", "public, no restriction", False)
OPEN_MS = TrainingData("open-ms, Ljubljana (Lesjak 2018)", "CC BY 4.0", False)
PHOTOGRAPHS = TrainingData("Photographs of food, in a public set named after brain tumours", "MIT", False)
PROSTATEX = TrainingData("PROSTATEx", "CC BY 3.0", False)
PYRADIOMICS = TrainingData("PyRadiomics' example images", "BSD-3-Clause", False)
SHENZHEN = TrainingData("NLM Shenzhen chest X-rays (Jaeger 2014)", "public", False)
SOFT_TISSUE_SARCOMA = TrainingData("Soft-tissue sarcoma, PET (Vallieres 2015)", "CC BY 3.0", False)
TCGA_GLIOMA = TrainingData("Glioma sections of TCGA", "open access", False)
TOTALSEGMENTATOR = TrainingData("TotalSegmentator's example CT", "Apache-2.0", False)
WMH = TrainingData("White-matter hyperintensities, Shanghai (Zhu 2022)", "not stated", True)

_CHEST = (MONTGOMERY, SHENZHEN)
_BRAIN = (BRATS, WMH, OPEN_MS)
_INTERACTIVE = (*_CHEST, OPEN_MS, TOTALSEGMENTATOR, MEDNIST, BUSI, PHOTOGRAPHS, PROSTATEX, PYRADIOMICS)
_KINDS = (KIDNEY_MR, BCCD, HOCM, IQ_OTH, KERMANY, HC18, KIDNEY_ULTRASOUND, LIVER_ULTRASOUND, MIAS, SOFT_TISSUE_SARCOMA)
_STRUCTURES = (DSB_2018, CHASE, FOOT_ULCERS)
# Folder of the shipped models → what its weights were trained on.
DATA: dict[str, tuple[TrainingData, ...]] = {
    "abnormality_brain": _BRAIN,
    "abnormality_chest": _CHEST,
    "backbone": (BACKBONE,),
    "brain_lesions": _BRAIN,
    "breast_ultrasound_class": (BUSI, BACKBONE),
    "chest_clavicles": (JSRT, BACKBONE),
    "chest_regions": (JSRT, *_CHEST, MEDNIST, PHOTOGRAPHS, BUSI),
    "chest_sides": (JSRT, *_CHEST, NIH, MEDNIST),
    "encoder": (
        *(BACKBONE, MEDNIST, NIH, TOTALSEGMENTATOR, OPEN_MS, PYRADIOMICS, PROSTATEX, BUSI, HEAD_CT, HVSMR, TCGA_GLIOMA),
        *(*_STRUCTURES, *_KINDS),
    ),
    "heart_chambers": (ACDC,),
    "hippocampus": (DECATHLON,),
    "intended_features": (MEDNIST, *_CHEST, TOTALSEGMENTATOR, OPEN_MS, PYRADIOMICS, ACDC, PROSTATEX, BUSI),
    "interactive_2d": (*_INTERACTIVE, *_STRUCTURES, *_KINDS),
    "interactive_3d": (*_INTERACTIVE, *_STRUCTURES, *_KINDS),
    "drawn_nodules": _CHEST,
    "irregularities": (JSRT, *_CHEST, NIH, BACKBONE),
    "router": (
        *(MEDNIST, *_CHEST, NIH, TOTALSEGMENTATOR, OPEN_MS, PYRADIOMICS, ACDC, PROSTATEX, BUSI, BACKBONE),
        *(HEAD_CT, HVSMR, TCGA_GLIOMA, *_STRUCTURES, *_KINDS),
    ),
    "tuberculosis": (*_CHEST, NIH),
}
_HEAD = """# Licences of the shipped weights

The code of casewise is under Apache-2.0 ([LICENSE](LICENSE)). The weights in `casewise/models/shipped/` were trained on public
images whose licences differ.

- **Weights marked "research only" may be used for research only.** Apache-2.0 does not apply to them.
- All other weights are under Apache-2.0. Keep the attribution of the data sets below when you pass them on. Some of these data
  sets are under CC BY-SA 4.0. Whether weights are an adaptation of the images they were trained on is not settled: clarify that
  before you redistribute them under other terms.

Licences are given as the makers of each data set state them. Check them before you use weights for anything but research.
`casewise models` marks weights that are for research only, and `casewise models --json` lists each model's data sets. A model
that you train from one of these weights inherits its training data.

| weights | use | training data and their licences |
|---|---|---|
"""


def page() -> str:
    """LICENSE-WEIGHTS.md: a row a folder of shipped weights."""
    rows = []
    for folder, data in DATA.items():
        sets = "; ".join(f"{one.name}: {one.licence}" for one in data)
        rows.append(f"| `{folder}` | {'**research only**' if research_only(data) else 'Apache-2.0'} | {sets} |\n")
    return _HEAD + "".join(rows)


def main() -> None:
    for folder, data in DATA.items():
        path = SHIPPED / folder / "model.toml"
        if path.is_file():  # chest_sides is part of another model
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            document["lineage"]["training_data"] = [one.to_toml() for one in data]
            path.write_text(tomli_w.dumps(document), encoding="utf-8")
    (ROOT / "LICENSE-WEIGHTS.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
