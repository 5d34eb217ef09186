"use strict";
const $ = (id) => document.getElementById(id);
const viewer = $("viewer"), stage = $("stage"), segmentTools = $("segment-tools");
let zoom = 1;

if ($("overlay")) {
  const apply = () => document.body.classList.toggle("bare", !$("overlay").checked);
  $("overlay").addEventListener("change", apply);
  const opacity = () => document.documentElement.style.setProperty("--fill", $("fill").value / 100);
  $("fill").addEventListener("input", opacity);
  document.querySelectorAll(".structure").forEach((box) => {
    const show = () => document.querySelectorAll("." + box.dataset.layer)
      .forEach((drawn) => drawn.classList.toggle("off", !box.checked));
    box.addEventListener("change", show);
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "o" || event.ctrlKey || event.metaKey || event.altKey) return;
    $("overlay").checked = !$("overlay").checked;
    apply();
  });
  apply();
  opacity();
}

// One pixel of the image on `zoom` pixels of the screen; 0 fits the whole picture. (x, y), from 0 to 1, comes to the centre.
function magnify(factor, x, y) {
  const drawing = stage.firstElementChild;
  zoom = factor;
  document.querySelectorAll("[data-zoom]").forEach((key) => key.setAttribute("aria-pressed", String(Number(key.dataset.zoom) === factor)));
  const { width, height } = drawing.viewBox.baseVal;
  const unit = factor
    ? factor / (Number(drawing.dataset.pixel) * window.devicePixelRatio)
    : Math.min((stage.clientWidth - 2) / width, (stage.clientHeight - 2) / height);
  drawing.style.width = width * unit + "px";
  drawing.style.height = height * unit + "px";
  drawing.querySelectorAll("text").forEach((text) => text.setAttribute("font-size", 15 / unit));
  drawing.style.imageRendering = factor > 1 ? "pixelated" : "auto";
  stage.scrollLeft = x * stage.scrollWidth - stage.clientWidth / 2;
  stage.scrollTop = y * stage.scrollHeight - stage.clientHeight / 2;
}

function look(panel, x, y, finding) {
  const drawing = panel.querySelector("svg").cloneNode(true);
  const pixels = drawing.querySelector("image[id]");
  if (pixels) {
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", "#" + pixels.id);
    pixels.replaceWith(use);
  }
  drawing.querySelectorAll("[id]").forEach((part) => part.removeAttribute("id"));
  drawing.dataset.pixel = panel.dataset.pixel;
  if (finding !== undefined) drawing.querySelectorAll(`[data-finding="${finding}"]`).forEach((frame) => frame.classList.remove("off"));
  stage.replaceChildren(drawing);
  if (segmentTools) segmentTools.hidden = true;
  $("viewer-caption").textContent = drawing.getAttribute("aria-label");
  viewer.showModal();
  const { width, height } = drawing.viewBox.baseVal;
  const pixel = Number(panel.dataset.pixel) * window.devicePixelRatio;
  const factor = [8, 4, 2].find((step) => (width / pixel) * step <= stage.clientWidth && (height / pixel) * step <= stage.clientHeight);
  magnify(factor || 1, x, y);
}

// The segment that a finding was made in: its own pixels, one on each of the screen's, the finding in the middle.
function openSegment(ident, finding) {
  const segment = $(ident), pixels = segment.querySelector(".pixels"), frame = segment.querySelector(`[data-finding="${finding}"]`);
  const middle = (start, length) => (frame ? (frame[start].baseVal.value + frame[length].baseVal.value / 2) / pixels[length].baseVal.value : 0.5);
  look(segment, middle("x", "width"), middle("y", "height"));
  magnify(1, middle("x", "width"), middle("y", "height"));
  segmentTools.hidden = false;
  $("segment-heat").disabled = !segment.querySelector(".heat");
  overSegment();
  stage.focus(); // the arrow keys move what is larger than the window
}
function overSegment() {
  stage.querySelectorAll(".found").forEach((drawn) => drawn.classList.toggle("off", !$("segment-marks").checked));
  stage.querySelectorAll(".heat").forEach((drawn) => drawn.classList.toggle("off", !$("segment-heat").checked));
}
if (segmentTools) segmentTools.addEventListener("change", overSegment);
document.querySelectorAll("[data-opens]").forEach((mark) => {
  const open = () => openSegment(mark.dataset.opens, mark.dataset.finding);
  mark.addEventListener("click", open);
  if (mark.localName !== "button") mark.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  });
});
// A link to #finding-N opens the segment of that finding.
function followed() {
  const [, finding] = location.hash.match(/^#finding-(\d+)$/) || [];
  const mark = finding && document.querySelector(`[data-opens][data-finding="${finding}"]`);
  if (mark) openSegment(mark.dataset.opens, finding);
}
stage.addEventListener("pointermove", (event) => {
  if (!(event.buttons & 1)) return;
  stage.scrollLeft -= event.movementX;
  stage.scrollTop -= event.movementY;
});

document.querySelectorAll(".panel").forEach((panel) => panel.addEventListener("click", (event) => {
  const area = panel.querySelector("svg").getBoundingClientRect();
  const inside = event.detail > 0;
  look(panel, inside ? (event.clientX - area.left) / area.width : 0.5, inside ? (event.clientY - area.top) / area.height : 0.5);
}));
document.querySelectorAll(".show").forEach((button) => button.addEventListener("click", () => {
  const panel = document.querySelector(`.panel[data-panel="${button.dataset.show}"]`);
  const frame = panel.querySelector(`[data-finding="${button.dataset.finding}"]`);
  const pixels = panel.querySelector("image[id]");
  const middle = (start, length, all) => (frame[start].baseVal.value + frame[length].baseVal.value / 2) / pixels[all].baseVal.value;
  look(panel, middle("x", "width", "width"), middle("y", "height", "height"), button.dataset.finding);
}));
document.querySelectorAll("[data-zoom]").forEach((key) => key.addEventListener("click", () => {
  const x = (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth;
  const y = (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight;
  magnify(Number(key.dataset.zoom), x, y);
}));
$("close").addEventListener("click", () => viewer.close());
window.addEventListener("hashchange", followed);
followed();
document.body.dataset.ready = "yes";
