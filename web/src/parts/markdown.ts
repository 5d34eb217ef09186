// The little of Markdown that model cards use: headings, lists, tables, paragraphs, `code`. Text stays text.

import { h, type Child } from "../dom.ts";

export function markdown(text: string): HTMLElement[] {
  const blocks: HTMLElement[] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; ) {
    const begin = at;
    const line = lines[at] ?? "";
    const take = (belongs: (line: string) => boolean): string[] => {
      while (at < lines.length && belongs(lines[at] ?? "")) at += 1;
      return lines.slice(begin, at);
    };
    const heading = /^(#+)\s+(.*)$/.exec(line);
    if (heading) {
      blocks.push(h((heading[1] ?? "").length === 1 ? "h3" : "h4", {}, inline(heading[2] ?? "")));
      at += 1;
    } else if (/^\s*[-*]\s/.test(line)) blocks.push(h("ul", { class: "bullets" }, take((one) => /^\s*[-*]\s/.test(one)).map((one) => h("li", {}, inline(one.replace(/^\s*[-*]\s+/, ""))))));
    else if (line.startsWith("|")) blocks.push(table(take((one) => one.startsWith("|"))));
    else if (line.trim() === "") at += 1;
    else blocks.push(h("p", {}, inline(take((one) => one.trim() !== "" && !/^(#|\||\s*[-*]\s)/.test(one)).join(" "))));
  }
  return blocks;
}

function inline(text: string): Child[] {
  return text.split(/(`[^`]+`)/).map((part) => (part.length > 2 && part.startsWith("`") && part.endsWith("`") ? h("code", {}, part.slice(1, -1)) : part));
}

function table(lines: string[]): HTMLElement {
  const cells = (line: string): string[] => line.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim());
  const [head = "", ...rest] = lines;
  const body = rest.filter((line) => !/^[|\s:-]+$/.test(line));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, h("tr", {}, cells(head).map((cell) => h("th", { scope: "col" }, inline(cell))))), h("tbody", {}, body.map((line) => h("tr", {}, cells(line).map((cell) => h("td", {}, inline(cell))))))),
  );
}
