// Whether two versions of Inboxbell can be joined. Pure.

/**
 * What is to be said of the two versions: they do not work together, or they differ; null if they are the same. Before
 * 1.0.0 the second number counts as the first one does later (Semantic Versioning 2.0.0, 4).
 */
export function compareVersions(
  here: string,
  there: string,
): { readonly joins: boolean; readonly text: string } | null {
  if (here === there) return null;
  const both = `this node ${here}, the other one ${there}`;
  return lineOf(here) === lineOf(there)
    ? {
        joins: true,
        text: `The versions differ (${both}): that is for an upgrade; install the same one soon.`,
      }
    : { joins: false, text: `The versions are too far apart to join: ${both}.` };
}

function lineOf(version: string): string {
  const [major = "", minor = ""] = version.split(/[.-]/);
  return major === "0" ? `${major}.${minor}` : major;
}
