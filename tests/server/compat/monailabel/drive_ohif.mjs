// Run under Node beside OHIF's own MonaiLabelClient.js and SegmentationReader.js: calls them as a test asks, a line of JSON each way.
import { createInterface } from 'node:readline';
import axios from 'axios';
import MonaiLabelClient from './MonaiLabelClient.js';
import SegmentationReader from './SegmentationReader.js';

console.log = console.debug = () => {};
axios.defaults.headers.common.Origin = process.argv[3]; // as a browser sends it
const client = new MonaiLabelClient(process.argv[2]);

for await (const line of createInterface({ input: process.stdin })) {
  const [method, args] = JSON.parse(line);
  if (method === 'save_label') args[1] = new Blob([Buffer.from(args[1], 'base64')]); // as the panel hands it over
  const response = await client[method](...args);
  process.stdout.write(`${JSON.stringify(answer(method, response))}\n`);
}

function answer(method, response) {
  if (typeof response === 'boolean') return { result: response };
  if (response.status !== 200) return { status: response.response?.status, error: said(response.response?.data) ?? response.message };
  if (method !== 'infer') return { status: 200, result: response.data };
  const { header, image } = SegmentationReader.parseNrrdData(buffer(response.data));
  return { status: 200, sizes: header.sizes, type: header.type, encoding: header.encoding, mask: Buffer.from(image).toString('base64') };
}

function buffer(data) {
  return data instanceof ArrayBuffer ? data : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
}

function said(data) {
  if (data === undefined || data === null) return undefined;
  return ArrayBuffer.isView(data) || data instanceof ArrayBuffer ? Buffer.from(data).toString() : JSON.stringify(data);
}
