"""A student's Jupyter server, started with less: it runs where the teacher's packages are."""
