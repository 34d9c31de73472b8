"""The golden configurations of switches: what our templates give, reviewed as text.

`<platform>/<switch>.conf` is what `render` gives, and `frr/<switch>.links` the kernel's side of it.
Every branch of every template is taken by at least one of them: for each `if`, both ways, and for
each loop, its body. Make them again with: .venv/bin/python -m tests.golden.fabric
"""
