"""Capture model calls in the HTTP client, whichever SDK or framework makes them.

    transport (httpx, aiohttp, urllib3)   program's thread: appends bytes and times, nothing else
    -> exchange                           one request and its response, as bytes
    -> worker                             background thread: decompresses, recognises, assembles
    -> span                               scope `phasewise.wire`, handed to the tracer provider

Requests are never changed, the only header that is stored is the provider's request id, and a
failure in here never reaches the program.
"""
