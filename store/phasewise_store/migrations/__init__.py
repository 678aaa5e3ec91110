"""The SQL of the migrations, a module for each subject; `schema` runs it in order."""
