-- oldest-binary: 0.2.0
--
-- How long an owner's pictures and jobs are kept, where it is not as long as the farm keeps them.

CREATE TABLE retention (
    owner text PRIMARY KEY CHECK (owner <> ''),
    -- In seconds from the end of their job on; infinity is for ever, NULL is as the farm's settings say.
    outputs double precision CHECK (outputs >= 0),
    history double precision CHECK (history >= 0),
    CONSTRAINT retention_says_something CHECK (outputs IS NOT NULL OR history IS NOT NULL)
);
