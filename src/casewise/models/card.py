"""The card that every model carries: what it is for, what it was made from, how good it was, and where its limits lie."""

from __future__ import annotations

from casewise.models.steps import tables
from casewise.models.stored import StoredModel
from casewise.models.tasks import task_of


def card(model: StoredModel) -> str:
    """Markdown, made from the model's own settings and lineage; a person adds to it what no program knows."""
    lineage, preparation = model.lineage, model.spec.preparation
    size = sum(int(tensor.numel()) for tensor in model.weights.values())
    made = f"intensity by {preparation.intensity}"
    if preparation.steps:
        made = f"made by {', '.join(step['step'] for step in tables(preparation.steps))}"
    kind = "volumes" if preparation.spatial_dims == 3 else "pictures, and volumes slice by slice"
    lines = [
        f"# {model.name}",
        "",
        f"- task: {task_of(model.spec).described()}",
        f"- network: {model.spec.architecture}, {size:,} weights, for {kind}",
        f"- input: {'×'.join(map(str, preparation.size))}, {made}",
        f"- made by: {lineage.method}" + (f", from {lineage.parent_name} ({lineage.parent[:12]})" if lineage.parent else ""),
        f"- trained on: {len(lineage.trained_on)} cases (their content hashes are in trained_on.txt)",
        *_use(model),
        "",
        "## Measured when it was made",
        *([f"- {name}: {value:.4g}" for name, value in lineage.measures.items()] or ["nothing"]),
        "",
        "## Settings",
        *([f"- {name}: {value}" for name, value in lineage.settings.items()] or ["none"]),
        "",
        "## Limits",
        "Not a medical device; for research. Measured on the data of the archive it was made from and on nothing else.",
        "",
    ]
    return "\n".join(lines)


def _use(model: StoredModel) -> list[str]:
    limiting = [f"{one.name}: {one.licence}" for one in model.lineage.training_data if one.research_only]
    return [f"- **weights for research only**, by their training data ({'; '.join(limiting)})"] if limiting else []
