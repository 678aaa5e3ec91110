"""A replay on a GPU machine without a store: packed here, run there, its results imported here.

kit_plan    the YAML file: model, arms in order of worth, stages
pack        sessions of the store and designed steps -> one file
pack_file   that file
on_machine  `python -m phasewise_replay.gpu.on_machine`: run it under a budget of seconds
results     results_file, read into a store as ordinary runs
"""
