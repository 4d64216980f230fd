// The model, beside the page: a photo is encoded once, each click is answered from what the encoder gave.

// @ts-ignore -- of onnxruntime-web, beside the page when it is exported
import * as ort from "./ort/ort.wasm.bundle.min.mjs";
import { chosen } from "./choose.js";
import { fitted, toModel } from "./pixels.js";

ort.env.wasm.wasmPaths = { wasm: new URL("./ort/ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

/** @type {any} */ let note;
/** @type {any} */ let encoder;
/** @type {any} */ let decoder;
/** @type {Record<string, any>} */ let maps = {};
let size = { width: 0, height: 0 };

async function open() {
  note = await (await fetch("everymask.json")).json();
  encoder = await ort.InferenceSession.create("encoder.onnx");
  decoder = await ort.InferenceSession.create("decoder.onnx");
  return { name: note.name };
}

/** @param {{rgba: Uint8ClampedArray, width: number, height: number}} photo */
async function encode({ rgba, width, height }) {
  const side = note.image_size;
  const values = toModel(rgba, width, height, side, note.pixels);
  maps = await encoder.run({ image: new ort.Tensor("float32", values, [1, 3, side, side]) });
  size = { width, height };
}

/** @param {{clicks: {x: number, y: number, include: boolean}[]}} prompt in pixels of the photo */
async function ask({ clicks }) {
  const sam2 = note.family === "sam2";
  const [wide, high] = fitted(note.pixels, note.image_size, size.width, size.height);
  const points = clicks.flatMap(({ x, y }) => [(x * wide) / size.width, (y * high) / size.height]);
  /** @type {number[]} */
  const labels = clicks.map(({ include }) => (include ? 1 : 0));
  if (!sam2) {
    points.push(0, 0); // the padding point, which graphs of SAM 2 add themselves
    labels.push(-1);
  }
  const grid = note.image_size / 4;
  const nothing = new ort.Tensor("float32", new Float32Array(grid * grid), [1, 1, grid, grid]);
  const none = new ort.Tensor("float32", new Float32Array(1), [1]);
  const hw = [size.height, size.width];
  /** @type {Record<string, any>} */
  const known = {
    ...maps,
    point_coords: new ort.Tensor("float32", new Float32Array(points), [1, labels.length, 2]),
    point_labels: sam2
      ? new ort.Tensor("int32", new Int32Array(labels), [1, labels.length])
      : new ort.Tensor("float32", new Float32Array(labels), [1, labels.length]),
    mask_input: nothing,
    input_masks: nothing,
    has_mask_input: none,
    has_input_masks: none,
    orig_im_size: new ort.Tensor("float32", new Float32Array(hw), [2]),
    original_image_size: new ort.Tensor("int32", new Int32Array(hw), [2]),
  };
  const given = Object.fromEntries(decoder.inputNames.map((/** @type {string} */ name) => [name, known[name]]));
  const { masks, iou_predictions, low_res_masks } = await decoder.run(given);
  const place = chosen(iou_predictions.data, low_res_masks.data, clicks.length, note.fallback);
  const pixels = size.width * size.height;
  const mask = new Uint8Array(pixels);
  for (let index = 0; index < pixels; index++) mask[index] = masks.data[place * pixels + index] > 0 ? 1 : 0;
  return { mask, score: iou_predictions.data[place] };
}

const tasks = { open, encode, ask };
/** @type {Promise<void>} one task after the other */
let turn = Promise.resolve();

self.onmessage = ({ data: { id, task, about } }) => {
  turn = turn.then(async () => {
    try {
      const answer = await tasks[/** @type {keyof typeof tasks} */ (task)](about);
      self.postMessage({ id, answer });
    } catch (error) {
      self.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
};
