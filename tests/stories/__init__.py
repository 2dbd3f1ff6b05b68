"""The journeys of people, apps and operators, through the public doors only."""
