"""Capture of model calls where they leave the process: at the HTTP client, whatever stands above.

    transport (httpx, aiohttp, urllib3)   the program's thread: appends bytes and times, no more
    -> exchange                           one request and its answer, as bytes
    -> worker                             our thread: decompresses, recognises, assembles
    -> span                               scope `phasewise.wire`, handed to the tracer provider

No request is changed, no header is kept but the provider's request id, and a failure in here never
reaches the program.
"""
