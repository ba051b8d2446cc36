"""What may be done with money, by topic. Import the topic: `from billing.services import credits, holds, metering`.

prices: what an hour costs · accounts: who pays · credits: give, take, expire · holds: what a launch puts aside ·
metering: a machine's meter moves · hours: full hours are closed · proof: what `verify_ledger` finds · seeding.
"""
