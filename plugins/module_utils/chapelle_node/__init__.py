"""What runs on a server: brings it to a declared state, or says what it is.

Standard library only, Python 3.11 or later, and few imports: the controller sends this package
with each request, and a server compiles it each time. `chapelle_apply` and `chapelle_observe` are
its two ways in; `entry.main` reads the request.
"""
