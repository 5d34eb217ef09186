// In place of Zarr's codecs, which nothing here reads.

export default class NoCodec {
  static fromConfig(): never {
    throw new Error("This page reads no Zarr.");
  }
}
