"""The one-line tracer: `import phasewise; phasewise.init()`."""
