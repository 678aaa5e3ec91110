"""An OTLP receiver's obligations as cases, for any receiver: `python -m tests.otlp_conformance`."""
