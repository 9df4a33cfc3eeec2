// V8's own precise coverage, as the feedback of a fuzz run on Node.js: which places of a bundle ran.
import { type Profiler, Session } from "node:inspector";

/** Begins to count. The function returned gives the places that ran since it was called before. */
export function countCoverage(bundle: string): () => string[] {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  return () => {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    session.post("Profiler.takePreciseCoverage", (error, taken) => {
      if (error !== null) throw error;
      scripts = taken.result;
    });
    return scripts
      .filter(({ url }) => url.endsWith(bundle))
      .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
      .filter(({ count }) => count > 0)
      .map(({ startOffset, endOffset }) => `${startOffset}-${endOffset}`);
  };
}

const PLACE = /^\d+-\d+$/;

/** Whether this is a place of the code, not a word that a target said of an input. */
export function isPlace(feature: string): boolean {
  return PLACE.test(feature);
}
