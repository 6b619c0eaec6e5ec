from reanchor.api import load as load
