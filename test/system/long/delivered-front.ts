// A delivered configuration of what stands in front of a pair, with a test's places in those of the example.

/** Replaces each text in each of its places; a text that is not there makes the test worthless. */
export function substituted(text: string, places: Readonly<Record<string, string>>): string {
  return Object.entries(places).reduce((so, [from, to]) => {
    if (!so.includes(from)) throw new Error(`The delivered file does not name ${from}.`);
    return so.replaceAll(from, to);
  }, text);
}
