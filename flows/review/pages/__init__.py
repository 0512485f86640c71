"""Pages of the review application; each module has `routes(context)`."""
