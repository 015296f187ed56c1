"""A question bank that needs no download, made from well-kept data packages (docs/facts.md)."""
