// A picture of a terminal for the README: reads the screen of `npm start` as text from standard input and writes SVG to
// standard output. In a terminal of 110 columns:
//   tmux new-session -d -s bell -x 110 -y 30 'npm start'; sleep 30; tmux capture-pane -p -t bell | node scripts/picture.mjs > docs/rehearsal.svg
import { readFileSync } from "node:fs";

// Pixels. The font is whatever monospaced one the reader has; its characters are about 0.6 of the size wide.
const FONT_SIZE = 13;
const LINE = 18;
const LEFT = 18;
const TOP = 26;
const WIDTH = 860;

const NAME =
  "A terminal with npm start: notifications of Exchange arriving and rings going out with their latency";

/** What a line is: its colour, and whether it is the head line. */
function look(line) {
  if (/^\d+ notifications, /.test(line)) return ' fill="#ffffff" font-weight="bold"';
  if (/^[\d:.]+ +APNs /.test(line)) return ' fill="#8fd6a3"';
  if (/^[\d:.]+ +FCM /.test(line)) return ' fill="#f0c674"';
  return "";
}

function escaped(text) {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

const lines = readFileSync(0, "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => line.trimEnd());
const height = TOP + lines.length * LINE + 10;
const rows = lines.flatMap((line, at) =>
  line === "" ? [] : [`<text x="${LEFT}" y="${TOP + at * LINE}"${look(line)}>${escaped(line)}</text>`],
);
console.log(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${NAME}">
<rect width="${WIDTH}" height="${height}" rx="8" fill="#16202b"/>
<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="${FONT_SIZE}" fill="#d7e0ea" xml:space="preserve">
${rows.join("\n")}
</g>
</svg>`);
