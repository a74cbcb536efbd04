"""Integrations with other tools: docs/integrations.md.

Each module is for one tool and needs its extra, as in `pip install "bo-service[optuna]"`; no other module imports it.
"""
