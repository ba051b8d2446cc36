"""The scan's statements: each over the whole library at once, each harmless when repeated."""

from __future__ import annotations

# A batch of files as arrays of columns.
SEEN = """
INSERT INTO emulators_libraryfile AS file (path, console_id, size, title, game_id, rank, finding, scan)
SELECT path, nullif(console, ''), size, title, game_id, rank, finding, %(scan)s
  FROM unnest(%(paths)s::text[], %(consoles)s::text[], %(sizes)s::bigint[], %(titles)s::text[], %(game_ids)s::text[],
              %(ranks)s::smallint[], %(findings)s::text[])
       AS seen (path, console, size, title, game_id, rank, finding)
ON CONFLICT (path) DO UPDATE
SET console_id = excluded.console_id, size = excluded.size, title = excluded.title, game_id = excluded.game_id,
    rank = excluded.rank, finding = excluded.finding, scan = excluded.scan, missing_since = NULL
"""

# Whole tables are about to be compared that were empty a moment ago: without their sizes the planner takes hours.
MEASURE = "ANALYZE emulators_libraryfile, emulators_game"

# The triggers of history ask this setting for each row; where nobody has set it, each time by an error, whose undoing looks at all
# that is deferred in the transaction: minutes instead of seconds.
IGNORE_NOTHING = "SELECT set_config('pgtrigger.ignore', '{}', true)"

# What an upload put there since this scan began has this scan's number, too.
VANISHED = """
UPDATE emulators_libraryfile SET missing_since = %(now)s
 WHERE missing_since IS NULL AND (scan IS NULL OR scan < %(scan)s)
"""

# Files that games name and that nobody ever saw.
NEVER_SEEN = """
INSERT INTO emulators_libraryfile (path, console_id, size, title, game_id, rank, finding, scan, missing_since)
SELECT DISTINCT ON (game.file) game.file, game.console_id, 0, '', '', 0, '', %(scan)s, %(now)s
  FROM emulators_game game
 WHERE game.file <> '' AND NOT EXISTS (SELECT FROM emulators_libraryfile file WHERE file.path = game.file)
ON CONFLICT (path) DO NOTHING
"""

# Of the files that no game has, the best of each console and id.
_FREE = """
SELECT DISTINCT ON (file.console_id, file.game_id) file.id, file.console_id, file.game_id, file.title, file.path
  FROM emulators_libraryfile file
 WHERE file.missing_since IS NULL AND file.finding = ''
   AND NOT EXISTS (SELECT FROM emulators_game game WHERE game.file = file.path)
 ORDER BY file.console_id, file.game_id, file.rank, file.path
"""

# A game without a file, or whose file was given by a scan and has another name now. What staff chose stays, there or not.
LINKED = f"""
WITH free AS MATERIALIZED ({_FREE}),
     given AS (
        UPDATE emulators_game game SET file = free.path FROM free
         WHERE game.console_id = free.console_id AND game.game_id = free.game_id
           AND (game.file = '' OR EXISTS (
                SELECT FROM emulators_libraryfile old
                 WHERE old.path = game.file AND old.missing_since IS NOT NULL AND old.given_to_id = game.id))
        RETURNING game.id, free.id AS file_id)
UPDATE emulators_libraryfile file SET given_to_id = given.id FROM given WHERE file.id = given.file_id
"""

MADE = f"""
WITH free AS MATERIALIZED ({_FREE}),
     made AS (
        INSERT INTO emulators_game (console_id, game_id, title, file, requires_gpu, emulator)
        SELECT free.console_id, free.game_id, free.title, free.path, false, '' FROM free
         ORDER BY free.console_id, free.game_id
        ON CONFLICT ON CONSTRAINT game_id_in_console DO NOTHING
        RETURNING id, file)
UPDATE emulators_libraryfile file SET given_to_id = made.id FROM made WHERE file.path = made.file
"""

DUPLICATES = """
UPDATE emulators_libraryfile file SET finding = 'duplicate'
 WHERE file.missing_since IS NULL AND file.finding = ''
   AND NOT EXISTS (SELECT FROM emulators_game game WHERE game.file = file.path)
"""

# What is gone and no game asks for is forgotten.
FORGOTTEN = """
DELETE FROM emulators_libraryfile file
 WHERE file.missing_since IS NOT NULL AND NOT EXISTS (SELECT FROM emulators_game game WHERE game.file = file.path)
"""

MISSING = """
SELECT count(*) FROM emulators_game game JOIN emulators_libraryfile file ON file.path = game.file
 WHERE file.missing_since IS NOT NULL
"""

FINDINGS = """
SELECT finding, count(*) FROM emulators_libraryfile WHERE missing_since IS NULL AND finding <> '' GROUP BY finding
"""
