"""The projector: folds the history into the tables for ever, and tells how far it is."""
