"""What reviewers decided about films, beside the catalog: an append-only table, claims of items, and rules."""
