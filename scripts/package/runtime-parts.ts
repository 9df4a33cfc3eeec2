// What the runtime is made of, as its own licence page and its build say (https://github.com/oven-sh/bun, LICENSE.md,
// scripts/build/deps and Cargo.toml), with the versions that the runtime tells of itself. The text of each part's
// licence, with its copyright lines, is in licences/, under the part's name.

/** A library inside the runtime. */
export interface RuntimePart {
  readonly name: string;
  /** SPDX expression where there is one. */
  readonly licence: string;
  readonly source: string;
  /** Its name in `process.versions`; null if the runtime does not tell its version. */
  readonly key: string | null;
  /** Why its text has no copyright line. */
  readonly unsigned?: string;
}

const github = (path: string) => `https://github.com/${path}`;

export const RUNTIME_PARTS: readonly RuntimePart[] = [
  {
    name: "bun",
    licence: "MIT",
    source: github("oven-sh/bun"),
    key: "bun",
    unsigned: "its licence page names no holder of the copyright",
  },
  {
    name: "webkit",
    licence: "LGPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-2-Clause AND BSD-3-Clause AND MIT AND MPL-2.0",
    source: github("oven-sh/WebKit"),
    key: "webkit",
  },
  {
    name: "boringssl",
    licence: "Apache-2.0 AND MIT",
    source: github("oven-sh/boringssl"),
    key: "boringssl",
  },
  {
    name: "sqlite",
    licence: "blessing",
    source: "https://sqlite.org",
    key: "sqlite",
    unsigned: "it is in the public domain",
  },
  { name: "brotli", licence: "MIT", source: github("google/brotli"), key: null },
  {
    name: "browser-polyfills",
    licence: "MIT AND ISC AND BSD-3-Clause AND Zlib AND Artistic-2.0",
    source: github("oven-sh/bun/tree/main/src/node-fallbacks"),
    key: null,
  },
  { name: "c-ares", licence: "MIT", source: github("c-ares/c-ares"), key: "ares" },
  { name: "esbuild", licence: "MIT", source: github("evanw/esbuild"), key: null },
  {
    name: "hdrhistogram",
    licence: "BSD-2-Clause OR CC0-1.0",
    source: github("HdrHistogram/HdrHistogram_c"),
    key: null,
  },
  { name: "highway", licence: "Apache-2.0 OR BSD-3-Clause", source: github("google/highway"), key: null },
  { name: "icu", licence: "Unicode-3.0", source: github("unicode-org/icu"), key: "icu" },
  { name: "libarchive", licence: "BSD-2-Clause", source: github("libarchive/libarchive"), key: "libarchive" },
  { name: "libbase64", licence: "BSD-2-Clause", source: github("aklomp/base64"), key: null },
  {
    name: "libcxxabi",
    licence: "Apache-2.0 WITH LLVM-exception",
    source: github("llvm/llvm-project"),
    key: null,
  },
  { name: "libdeflate", licence: "MIT", source: github("ebiggers/libdeflate"), key: "libdeflate" },
  {
    name: "libjpeg-turbo",
    licence: "IJG AND BSD-3-Clause AND Zlib",
    source: github("libjpeg-turbo/libjpeg-turbo"),
    key: null,
  },
  { name: "libspng", licence: "BSD-2-Clause", source: github("randy408/libspng"), key: null },
  { name: "libwebp", licence: "BSD-3-Clause", source: github("webmproject/libwebp"), key: null },
  { name: "llhttp", licence: "MIT", source: github("nodejs/llhttp"), key: "llhttp" },
  { name: "lol-html", licence: "BSD-3-Clause", source: github("cloudflare/lol-html"), key: "lolhtml" },
  { name: "ls-hpack", licence: "MIT", source: github("litespeedtech/ls-hpack"), key: "lshpack" },
  { name: "ls-qpack", licence: "MIT", source: github("litespeedtech/ls-qpack"), key: null },
  { name: "lsquic", licence: "MIT AND BSD-3-Clause", source: github("litespeedtech/lsquic"), key: null },
  { name: "mimalloc", licence: "MIT", source: github("microsoft/mimalloc"), key: "mimalloc" },
  { name: "picohttpparser", licence: "MIT", source: github("h2o/picohttpparser"), key: "picohttpparser" },
  { name: "rust", licence: "Apache-2.0 OR MIT", source: github("rust-lang/rust"), key: null },
  {
    name: "rust-crates",
    licence: "MIT AND BSD-3-Clause AND MPL-2.0 AND Zlib",
    source: github("oven-sh/bun/blob/main/Cargo.toml"),
    key: null,
  },
  { name: "simdutf", licence: "Apache-2.0 OR MIT", source: github("simdutf/simdutf"), key: null },
  { name: "tigerbeetle", licence: "Apache-2.0", source: github("tigerbeetle/tigerbeetle"), key: null },
  {
    name: "tinycc",
    licence: "LGPL-2.1-or-later AND GPL-2.0-or-later WITH GCC-exception-2.0",
    source: github("oven-sh/tinycc"),
    key: "tinycc",
  },
  { name: "uucode", licence: "MIT", source: github("jacobsandlund/uucode"), key: null },
  {
    name: "uwebsockets",
    licence: "Apache-2.0",
    source: github("uNetworking/uWebSockets"),
    key: "uwebsockets",
  },
  { name: "usockets", licence: "Apache-2.0", source: github("uNetworking/uSockets"), key: "usockets" },
  { name: "zlib-ng", licence: "Zlib", source: github("zlib-ng/zlib-ng"), key: "zlib" },
  { name: "zstd", licence: "BSD-3-Clause OR GPL-2.0-only", source: github("facebook/zstd"), key: "zstd" },
];

/** The version, or the commit, of a part; null if the runtime does not tell. */
export function runtimeVersion(key: string | null): string | null {
  const versions = process.versions as Readonly<Record<string, string | undefined>>;
  return key === null ? null : (versions[key] ?? null);
}
