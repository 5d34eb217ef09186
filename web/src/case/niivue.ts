// NiiVue in a chunk of its own. It runs under the page's content security policy: its built-in pictures are handed to it as blobs.

import { Niivue, NVImage, SLICE_TYPE } from "@niivue/niivue";
import { address, ask } from "../api.ts";
import type { CaseDetail } from "../types.ts";

const TURN = 10; // degrees a key press
const MASK_OPACITY = 0.7;
const AMBER = { R: [0, 255], G: [0, 176], B: [0, 58], A: [0, 255], I: [0, 255] };

/** NiiVue loads its letters from `data:` addresses, which the page's policy refuses; as a blob they are allowed. */
class WithinPolicy extends Niivue {
  override async loadPngAsTexture(url: string, unit: number): Promise<WebGLTexture | null> {
    const blob = url.startsWith("data:") ? URL.createObjectURL(blobOf(url)) : url;
    try {
      return await super.loadPngAsTexture(blob, unit);
    } finally {
      if (blob !== url) URL.revokeObjectURL(blob);
    }
  }
}

export interface Scene {
  /** Colour a structure's mask; null takes it away. */
  mask: (name: string | null) => Promise<void>;
  close: () => void;
}

export async function draw(canvas: HTMLCanvasElement, image: CaseDetail, mask: string | null): Promise<Scene> {
  const scene = new WithinPolicy({ backColor: [0, 0, 0, 1], show3Dcrosshair: false, isColorbar: false, loadingText: "", dragAndDropEnabled: false, logLevel: "error" });
  await scene.attachToCanvas(canvas);
  scene.addColormap("amber", AMBER);
  scene.setSliceType(SLICE_TYPE.RENDER);
  scene.addVolume(await volume(image.key, null));
  canvas.addEventListener("keydown", (event) => {
    const across = { ArrowLeft: -TURN, ArrowRight: TURN }[event.key] ?? 0;
    const up = { ArrowUp: TURN, ArrowDown: -TURN }[event.key] ?? 0;
    if (!across && !up) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    scene.setRenderAzimuthElevation(scene.scene.renderAzimuth + across, scene.scene.renderElevation + up);
  }, { capture: true });
  const show = async (name: string | null): Promise<void> => {
    for (const old of scene.volumes.slice(1)) scene.removeVolume(old);
    if (name !== null) scene.addVolume(await volume(image.key, name));
  };
  if (mask !== null) await show(mask);
  return {
    mask: show,
    close: () => {
      for (const one of [...scene.volumes]) scene.removeVolume(one);
      scene.gl.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}

/** The image, or one of its masks, as a volume of NiiVue's. */
async function volume(key: string, mask: string | null): Promise<NVImage> {
  const file = await ask(address(["cases", key, "nifti"], { mask }));
  const look = mask === null ? {} : { colormap: "amber", opacity: MASK_OPACITY, cal_min: 0.5, cal_max: 1 };
  return NVImage.loadFromUrl({ url: "volume.nii.gz", name: "volume.nii.gz", buffer: await file.arrayBuffer(), ...look });
}

function blobOf(url: string): Blob {
  const [head = "", data = ""] = url.slice("data:".length).split(",", 2);
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.split(";", 1)[0] ?? "image/png" });
}
