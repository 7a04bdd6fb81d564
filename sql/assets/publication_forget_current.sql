-- Purpose: empty the tables that 02_fill_current.sql fills: after a loss that a person accepted, history is
--          shorter than the current rows say.
delete from current_publications;

delete from current_holds;

delete from current_analyses;
