import { defineConfig } from "vite";

// One entry with a fixed name that the server's pages load; each page's script is fetched when it is needed, by a hashed name.
export default defineConfig({
  base: "/static/",
  // NiiVue can read Zarr, whose codecs are WebAssembly; the page reads none, and its policy would refuse them.
  resolve: { alias: [{ find: /^numcodecs\/(blosc|lz4|zstd)$/, replacement: new URL("src/case/no-codec.ts", import.meta.url).pathname }] },
  build: {
    outDir: "../src/casewise/server/static",
    emptyOutDir: true,
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      input: "src/page.ts",
      checks: { pluginTimings: false },
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: (file) => (file.names.some((name) => name.endsWith(".css")) ? "page.css" : "assets/[name]-[hash][extname]"),
      },
    },
  },
});
