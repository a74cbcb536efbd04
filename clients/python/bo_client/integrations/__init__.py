"""The tools people already use, with the service behind them: docs/integrations.md.

Each file is for one tool and needs its extra, as in `pip install "bo-service[optuna]"`; nothing else imports them.
"""
