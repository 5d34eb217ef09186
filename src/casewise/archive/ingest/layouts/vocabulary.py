"""Words that name a structure of the body or a finding, and words that go with them.

A mask's name may go on after its image's: ``case7_left_lung_mask`` beside ``case7``. Whether that names a structure, or another
image that is missing (``anna_maria_mask`` beside ``anna``), only the words can decide.
"""

from __future__ import annotations

from casewise.archive.words import FILLER, MODALITIES, SEQUENCES, camel_words, is_role, singular


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STRUCTURES = _words("""
    abdomen abscess adipose adnexa adrenal air airway amygdala aneurysm ankle annulus anterior aorta aortic appendage appendix
    arm artery arteries articular atelectasis atrial atrium autochthon background basilar biceps bladder blood body bone bowel
    brachial brachiocephalic brain brainstem breast bronchi bronchus bulb caecum calcification callosum canal capillary cardiac
    cardiomegaly carina carotid cartilage caudate cava caval cavity cell cells central cerebellum cerebral cervical cervix
    chamber chest choroid clavicle cochlea collagen colon consolidation cord core coronary corpus cortex costal cranium csf cup
    cyst deltoid dens dermis diaphragm disc disk duct duodenum ear edema oedema effusion elbow embolism emphysema endocardium
    endometrium enhancing enhancement epicardium epidermis esophagus oesophagus exudate eye eyelid face fat femoral femur fetal
    fetus fibroid fibula fibrosis fissure fluid follicle foot foramen fovea fracture frontal fundus gallbladder ganglia gland
    gland gliosis globe globus glottis gluteus gluteal gray grey gtv ctv ptv oar gtvp gtvn gyrus hair hand head heart hematoma
    haematoma hemorrhage haemorrhage hepatic hernia hip hippocampus humerus hypopharynx hypothalamus iliac iliacus iliopsoas
    ilium implant infarct infarction infiltrate inferior inner insula instance iris ischemia ischium jaw jejunum ileum joint
    jugular kidney knee knuckle larynx lens lesion leg ligament limb lip liver lobe lobes lumbar lumen lung lungs lymph
    lymphnode macula malignant mandible marrow mass matter maxilla media mediastinum medulla membrane meninges meniscus
    mesentery metastasis metastases microaneurysm midbrain middle mouth mucosa muscle myocardial myocardium myometrium nail
    nasal neck necrosis necrotic nerve net nidus nipple node nodes nodule nodules nose nucleus nuclei occipital opacity optic
    optical oral orbit organ outer ovary pallidum palate pancreas pancreatic papilla paraspinal parenchyma parietal parotid
    patella pectoralis pelvic pelvis penumbra perfusion pericardium pericardial peripheral peritoneum pharynx pituitary placenta
    plaque pleura pleural pneumonia pneumothorax polyp pons popliteal portal posterior precuneus prostate psoas pulmonary pupil
    putamen pylorus quadriceps radius rectum renal retina rib ribs root sacrum sacral scalp scapula sclera seminal septum
    shoulder sinus skeleton skin skull soft spinal spine spleen splenic sternum stomach stone striatum stroke subcutaneous
    subclavian submandibular substantia sulcus superior synovium teeth temporal tendon testis thalamus thigh thoracic thorax
    thrombus thymus thyroid tibia tissue tissues tongue tooth tonsil torso trachea trapezius triceps trunk tumor tumour tumors
    tumours turbinate ulna ulcer ureter urethra urinary uterus uvula vagina valve vein veins vena ventricle ventricles
    ventricular vertebra vertebrae vertebral vesicle vesicles vessel vessels vitreous vocal wall white whole wmh wound wrist
    zone lv rv la ra myo gm wm et wt tc ncr ivc svc ivd lunge lungen herz herzkammer leber niere nieren milz magen darm gehirn
    hirn knochen schädel wirbel wirbelsäule wirbelkörper rippe rippen blase harnblase prostata gefäß gefäße lymphknoten läsion
    läsionen herd knoten muskel haut auge hand fuß knie hüfte becken schilddrüse bauchspeicheldrüse gallenblase luftröhre
    speiseröhre schlüsselbein kammer vorhof hippokampus poumon poumons coeur cœur foie rein reins rate estomac cerveau crâne
    côte côtes vessie prostate vaisseau lésion tumeur nodule peau œil rétine moelle pulmón pulmones pulmon corazón corazon
    hígado higado riñón riñones bazo estómago cerebro hueso cráneo costilla vejiga próstata vaso lesión lesion tumor nódulo piel
    ojo retina pulmão pulmões coração fígado rim rins baço estômago cérebro osso bexiga polmone polmoni cuore fegato rene reni
    milza stomaco cervello osso cranio vescica prostata lesione tumore nodulo лёгкое легкое лёгкие легкие сердце печень почка
    почки селезёнка селезенка желудок мозг кость череп ребро ребра позвонок опухоль очаг поражение узел узелок сосуд сосуды
    простата кожа глаз желудочек предсердие поджелудочная железа płuco płuca serce wątroba nerka nerki guz plíce srdce játra
    ledvina nádor
""")
# Which of several: says nothing alone, unless both sides are there.
SIDES = _words("""
    left right l r lt rt links rechts linke rechte linker rechter gauche droite droit izquierdo izquierda derecho derecha
    esquerdo esquerda direito direita sinistro sinistra destro destra левое правое левый правый левая правая lewe prawe levá
    pravá bilateral both
""")
_WITH = _words("""
    upper lower medial lateral proximal distal ascending descending internal external primary secondary ii iii iv lobe and of
    the non large small fast full total all upper lower binary
""")
_HAN = frozenset(
    "左右上下前后後内外侧側中大小主全双雙両肺心肝脾脏臓臟腎肾脑脳腦胃骨肠腸胰膵胆膀胱前列腺子宫宮卵巢甲状乳房皮肤膚眼视視网網"
    "膜血管动動静靜脉脈气氣管食道肿腫瘤病灶変区域區结結节節頭头颈頸胸腹盆腔椎体體肋锁鎖肩手足膝髋髖关節軟软组組织織肌肉脂肪淋"
    "巴神经經房室瓣壁腔葉叶水肿坏壊死出血梗塞癌囊嚢实實质質白灰质海马馬基底部位脊髓柱髄尿输卵"
)
_HANGUL = frozenset(
    [
        "폐",
        "심장",
        "간",
        "신장",
        "뇌",
        "위",
        "비장",
        "췌장",
        "좌폐",
        "우폐",
        "왼쪽",
        "오른쪽",
        "종양",
        "병변",
        "혈관",
        "뼈",
        "방광",
        "전립선",
    ]
)
_KANA = frozenset("リンパ節 ポリープ")
# What a folder of a class is called, beside structures and modalities.
_CLASSES = _words("""
    normal abnormal healthy sick benign malignant positive negative pos neg yes no covid covid19 corona pneumonia tuberculosis
    tb bacterial viral virus glioma meningioma pituitary cancer carcinoma adenocarcinoma melanoma nevus naevus nevi metastatic
    lymphoma sarcoma none disease diseased control controls class grade stage level type score group birads kl dr mild moderate
    severe proliferative other others unknown drusen cnv dme cataract glaucoma keratosis dermatitis psoriasis eczema fractured
    nonfractured finding findings infected uninfected parasitized infection sepsis ischemic hemorrhagic haemorrhagic demented
    nondemented dementia alzheimer mci ad cn squamous adenoma hyperplasia dysplasia metaplasia stroma debris empty adult
    paediatric pediatric male female frontal lateral scoliosis arthritis osteoarthritis osteoporosis osteopenia pathological
    pathology gesund krank normalbefund gutartig bösartig befund sain malade bénin malin sano enfermo benigno maligno normale
    норма патология 正常 异常 異常 良性 恶性 悪性 阳性 阴性 陽性 陰性
    abdomenct breastmri chestct headct chestxray xrays mammogram mammography
    ultrasound dermoscopy endoscopy histology oct fundus mri mrt röntgen
""")
# What a name says of how an image was made or worked on, rather than of whom.
QUALIFIERS = _words("""
    sm small large fast low high res lowres highres resampled resample iso isotropic 1mm 2mm 3mm n3 n4 bias corrected
    biascorrected norm normalized normalised stripped skullstripped ss brain bet reg registered coreg mni native crop cropped
    pre post contrast fat sat fatsat axial ax sagittal sag coronal cor tra trace b0 3d 2d gre tse fse tfe flash space vibe
    noneck
""")


def is_structure(text: str) -> bool:
    """Whether every word names, or goes with, a structure, and one names it: ``left lung``, ``lesion_2``, ``左肺``."""
    parts = [part for part in camel_words(text) if part not in FILLER and not is_role(part)]
    if any(says_acquisition(part) for part in parts) and not any(part.startswith(("vertebr", "wirbel")) for part in parts):
        return False  # T1 is a sequence, unless it is a vertebra
    return any(_names(part) for part in parts) and all(_names(part) or _goes_with(part) for part in parts)


def is_class_word(word: str) -> bool:
    """Whether a folder of this word may be a class: a finding, a body part, a modality, a grade."""
    bare = word.rstrip("0123456789")
    return word in _CLASSES or (len(bare) > 1 and bare in _CLASSES) or word in MODALITIES or (len(bare) > 2 and _names(word))


def is_side(text: str) -> bool:
    """Whether it says a side and nothing else."""
    parts = camel_words(text)
    return bool(parts) and all(part in SIDES for part in parts)


def says_acquisition(word: str) -> bool:
    """Whether a word names a sequence or a modality."""
    return word in SEQUENCES or word in MODALITIES


def _names(part: str) -> bool:
    bare = part.rstrip("0123456789")
    return any(one in _STRUCTURES for one in (part, bare, singular(bare))) or part in _HANGUL or _is_han(part)


def _is_han(part: str) -> bool:
    return len(part) > 1 and all(one in _HAN or one in _KANA for one in part.rstrip("0123456789")) and not part.isdecimal()


def _goes_with(part: str) -> bool:
    return part in SIDES or part in _WITH or part.isdecimal() or (len(part) <= 3 and part[:1] in "lscthvr" and part[1:].isdecimal())
