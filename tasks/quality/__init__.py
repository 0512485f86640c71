"""Quality of a render: `meter` measures it during rendering, `thresholds` checks it against bounds."""
