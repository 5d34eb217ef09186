// Which key does what.

import type { Tool, Viewer } from "../viewer/viewer.ts";
import type { Key } from "./keys.ts";

export interface Actions {
  tool: (tool: Tool) => void;
  undo: () => void;
  redo: () => void;
  accept: () => void;
  skip: () => void;
  another: () => void;
  select: (number: number) => void;
  grow: () => void;
  hide: () => void;
  help: () => void;
}

/** All keys of the page, those that the list of keys explains first. */
export function keymap(viewer: Viewer, actions: Actions): Key[] {
  const explained: Key[] = [
    { keys: ["b"], shown: "B", says: "Box; with Shift held down in one slice only", does: () => actions.tool("box") },
    { keys: ["f"], shown: "F", says: "Stroke: belongs to the structure (green)", does: () => actions.tool("foreground") },
    { keys: ["d"], shown: "D", says: "Stroke: does not belong (red); or the right mouse button", does: () => actions.tool("background") },
    { keys: ["e"], shown: "E", says: "Erase strokes", does: () => actions.tool("erase") },
    { keys: ["["], shown: "[ ]", says: "Thinner or thicker pen", does: () => viewer.setPen(viewer.penNumber - 1) },
    { keys: ["Ctrl+z"], shown: "Ctrl Z", says: "Undo the last round", does: actions.undo },
    { keys: ["Ctrl+Shift+z", "Ctrl+y"], shown: "Ctrl Shift Z", says: "Redo", does: actions.redo },
    { keys: ["a"], shown: "A", says: "Accept and next", does: actions.accept },
    { keys: ["s"], shown: "S", says: "Skip this image", does: actions.skip },
    { keys: ["n"], shown: "N", says: "Another structure in this image", does: actions.another },
    { keys: [], shown: "1 … 9", says: "Go to a structure" },
    { keys: ["g"], shown: "G", says: "Grow from one slice through the volume", does: actions.grow },
    { keys: [" "], shown: "Space", says: "Hide or show the mask", does: actions.hide },
    { keys: ["w"], shown: "W", says: "Drag (or arrow keys) for brightness and contrast", does: () => actions.tool("window") },
    { keys: ["m"], shown: "M", says: "Drag to move the image, click to move all planes", does: () => actions.tool("move") },
    { keys: ["i"], shown: "I", says: "Smooth or single voxels", does: () => viewer.setSmooth(!viewer.scene?.smooth) },
    { keys: ["p"], shown: "P", says: "Play a loop", does: () => viewer.play() },
    { keys: ["+", "="], shown: "+ -", says: "Closer or farther; or Ctrl and the wheel", does: () => viewer.zoom(1.25) },
    { keys: ["0"], shown: "0", says: "Whole image", does: () => viewer.fit() },
    { keys: ["x"], shown: "X", says: "The next plane large", does: () => viewer.turn() },
    { keys: [], shown: "Wheel", says: "Through the slices; or Page Up and Page Down" },
    { keys: [], shown: "Arrows Enter", says: "On the image: move the place, set and lift the pen" },
    { keys: ["?"], shown: "?", says: "This list", does: actions.help },
  ];
  const further: Key[] = [
    { keys: ["]"], does: () => viewer.setPen(viewer.penNumber + 1) },
    { keys: ["-"], does: () => viewer.zoom(0.8) },
    { keys: ["PageUp"], does: () => viewer.scroll(-1) },
    { keys: ["PageDown"], does: () => viewer.scroll(1) },
  ];
  const numbers = Array.from({ length: 9 }, (_, number): Key => ({ keys: [String(number + 1)], does: () => actions.select(number) }));
  return [...explained, ...further, ...numbers];
}
