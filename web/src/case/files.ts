// Files to take along: the report, and all masks in one DICOM object. Each mask as NIfTI stands beside its name.

import { address } from "../api.ts";
import { h } from "../dom.ts";
import type { ResultDetail } from "../types-results.ts";
import type { CaseDetail } from "../types.ts";

export function files(image: CaseDetail, result: ResultDetail | null): HTMLElement | null {
  const dicom = image.facts.format === "DICOM" && image.structures.length > 0;
  const links = [
    result?.report && h("a", { class: "button small", href: result.report, target: "_blank", rel: "noopener" }, "Report"),
    dicom && h("a", { class: "button small", href: address(["cases", image.key, "segmentation.dcm"]), download: "" }, "Masks (DICOM SEG)"),
  ].filter(Boolean);
  return links.length ? h("section", {}, h("h2", {}, "Files"), h("div", { class: "file-links" }, ...links)) : null;
}
