// Whether a database has the tables that this program made in it, and nothing else: a view, a trigger or another table
// in a file from outside would run what its author wants.
import Database from "better-sqlite3";
import { APPLICATION_ID, MIGRATIONS } from "./migrations.ts";

/** Whether an open database has this application's mark and exactly what its schema number promises. */
export function isOwnShape(db: Database.Database): boolean {
  if (db.pragma("application_id", { simple: true }) !== APPLICATION_ID) return false;
  const schema = Number(db.pragma("user_version", { simple: true }));
  const model = new Database(":memory:");
  try {
    for (const { number, sql } of MIGRATIONS) if (number <= schema) model.exec(sql);
    // Of no schema that a node leaves behind, or of one that this version does not know.
    if (!MIGRATIONS.some(({ number }) => number === schema)) return false;
    return JSON.stringify(shapeOf(db)) === JSON.stringify(shapeOf(model));
  } finally {
    model.close();
  }
}

/** Names and columns, not the SQL: versions of SQLite write that differently after an ALTER TABLE. */
function shapeOf(db: Database.Database): unknown {
  const things = db
    .prepare(
      "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name",
    )
    .raw()
    .all();
  // Hidden ones among them, which are computed.
  const columns = db
    .prepare(
      `SELECT t.name, c.name, c.type, c."notnull", c.pk, c.hidden
       FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c
       WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid`,
    )
    .raw()
    .all();
  return [things, columns];
}
