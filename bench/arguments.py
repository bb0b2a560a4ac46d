"""The command line of the benches that run `tracer fit`: what stands after -- is for it."""

import sys


def own_and_fit_options():
    own, options = sys.argv[1:], []
    if "--" in own:
        cut = own.index("--")
        own, options = own[:cut], own[cut + 1:]
    return own, options
