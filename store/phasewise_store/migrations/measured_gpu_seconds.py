"""What each call of a simulated replay took of the GPUs, by phase."""

MEASURED_GPU_SECONDS = """
ALTER TABLE measured_calls ADD COLUMN prefill_gpu_s DOUBLE;  -- of the engine model; others: NULL
ALTER TABLE measured_calls ADD COLUMN decode_gpu_s DOUBLE;
"""
