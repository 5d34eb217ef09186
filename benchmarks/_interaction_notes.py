"""What was tried on the way to the shipped interactive models and what came of it: the last part of the benchmark's page."""

from __future__ import annotations

NOTES = """## What was tried, on other tasks than these

31 validation tasks: 23 painted or made of superpixels, of other draws than the training's, and 8 of lungs on radiographs of
patients kept apart (three of JSRT, none of them above). One seed: differences of a few tenths of a stroke are chance.

| change to the former network | strokes to 0.90 | Dice after 8 | worse rounds | kept |
|---|---|---|---|---|
| none | 4.39 | .907 | 4.4 % | – |
| each picture also seen on its side (eight views instead of four) | 4.32 | .911 | 3.6 % | yes |
| after the box the mask of greatest expected Dice (JSRT's lungs: 2.67 → 0.33) | 4.32 | .906 | 6.0 % | yes |
| the same in every round | 4.55 | .880 | 2.4 % | no |
| what one kind of stroke cannot mean stays as it was unless the network is sure (logit 1) | 4.48 | .903 | 4.8 % | no |
| the same, sure from logit 3 on | 4.68 | .902 | 4.4 % | no |
| a grid 1.5, 2 and 3 times as fine | 4.61 | .914 | 5.2 % | no |

The third stage of the training (veiled objects, the box's scale, seven rounds) took walls painted in other pictures (14
tasks) to Dice .270, .461, .612, .792 after the box and after one, two and four strokes; the fourth, with more walls (seen at
1,900 of its 2,100 steps), to .406, .580, .690, .816. On the 31 tasks the two stages are alike (4.39 and 4.61 strokes, worse
rounds 4.8 and 2.8 %).

On films alone (13 tasks) a grid three times as fine for large boxes took 5.38 strokes instead of 5.00. In volumes (6 tasks of
the training's kinds) four mirrored views took Dice after four strokes from .712 to .715 at 3.6 times the time, and planes
along all three axes left it as it was; the mask of greatest expected Dice took Dice after the box from .311 to .521 (7
tasks). The network for volumes reaches .694 after three strokes (7 tasks); the one for pictures, plane by plane, .633 (12
tasks).

Since then, on 93 validation tasks (painted walls, cavities, blobs, superpixels, each as large in pixels as hearts are; sagittal
slices of hippocampi, right lungs of JSRT; no patient or draw of the training's or of the test's):

| network | Dice after the box | 2 | 4 | 8 | strokes to 0.90 | worse rounds | kept |
|---|---|---|---|---|---|---|---|
| four stages | .618 | .747 | .840 | .899 | 4.49 | 3.4 % | – |
| and a fifth: organs' shapes, borders off, finer grids (two draws, averaged) | .595 | .746 | .840 | .902 | 4.38 | 3.1 % | – |
| one of its draws | .597 | .751 | .844 | .903 | 4.39 | 2.6 % | – |
| the average, boxes of more than 47 pixels seen on a finer grid | .609 | .757 | .850 | .912 | 4.29 | 2.7 % | yes |
| and a sixth, with more walls | .628 | .765 | .851 | .907 | 4.24 | 2.3 % | yes |
| the average of fifth and sixth | .620 | .761 | .850 | .910 | 4.28 | 2.0 % | no |

*Another training (1)* and *(2)* above are the two draws of the fifth stage: they share the four before it, and the shipped model's
sixth stage began from their average. Trainings from nothing with other seeds were not made, so the range says too little.

Half of the views answered without the former answer: strokes 4.03 → 4.58 (31 tasks). Half of the former logits kept away from
the new stroke from the third round on: 3.85 → 3.81, Dice after eight .917 → .912, worse rounds 2.4 → 2.1 % (47 tasks): not kept.
Many long strokes of both kinds at once, as experts draw them: Dice .713, .755 where the network forgets most of its answer
after the box, .761 where it forgets all (cavities then lose); geodesic distance .720. The first form, with all of it forgotten,
was measured on the experts' strokes above too (.875 in all, the left ventricle .905) before the present one was chosen.

Where the myocardium does not get there, either the wall is found and its border is off by a pixel all around, of which each
further stroke mends 25 pixels, or the first background stroke in the cavity does not yet lead to the wall around it.
"""
