"""What a call costs: token counts where a provider sends none, prices, sums."""
