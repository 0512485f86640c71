"""The process: its temporary files, signals and terminal, and the context of its log lines."""
