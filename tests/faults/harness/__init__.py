"""The harness of the fault tests: a workspace with jobs and a small model, a shell on a terminal, a faulty S3 proxy."""
