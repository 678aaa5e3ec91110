"""What each call of a replay took of the GPUs, by phase."""

MEASURED_GPU_SECONDS = """
ALTER TABLE measured_calls ADD COLUMN prefill_gpu_s DOUBLE;  -- of steps, simulated or logged
ALTER TABLE measured_calls ADD COLUMN decode_gpu_s DOUBLE;
"""
